#!/usr/bin/env bash
# Copyright the authors of Stroom portal. SPDX-License-Identifier: Apache-2.0
# Sends the files of a folder to one feed and keeps each that was not taken. Needs Bash, curl 7.54 or later, awk, and
# retry.sh in its own folder.
#
#   send.sh OUTBOX URL FEED [OPTION OF CURL...]
#   send.sh outbox https://portal.example.org/datafeed WEB-ACCESS-EVENTS --cert me.pem -H 'Compression: GZIP'
#
# A file that was taken is removed. One that has to wait ends the run, since those behind it would wait as well: exit
# code 75. One that cannot be taken as it is moves to held/, with the answer in NAME.why; move it back once a person has
# changed something. Move only finished files into the folder.
set -u
if [ $# -lt 3 ]; then
  echo "usage: send.sh OUTBOX URL FEED [OPTION OF CURL...]" >&2
  exit 64
fi
. "$(dirname "${BASH_SOURCE[0]}")/retry.sh" || exit 70
outbox=$1 url=$2 feed=$3
shift 3
work=$(mktemp -d) || exit 70
trap 'rm -rf "$work"' EXIT
# One run at a time for each folder, where there is flock.
exec 9>"$outbox/.lock" || exit 66
if command -v flock >/dev/null && ! flock -n 9; then
  echo "another run is sending from $outbox" >&2
  exit 75
fi

# The value of a header of the last answer; of one that is given twice, all values with commas between.
field() {
  awk -v name="$1" '
    /^HTTP\// { value = ""; count = 0 }
    { sub(/\r$/, ""); colon = index($0, ":") }
    colon && tolower(substr($0, 1, colon - 1)) == tolower(name) {
      value = (count++ ? value ", " : "") substr($0, colon + 1)
    }
    END { print value }' "$work/head"
}

for file in "$outbox"/*; do
  [ -f "$file" ] || continue
  name=${file##*/}
  : >"$work/head"
  : >"$work/answer"
  http=$(curl -sS -g --suppress-connect-headers -D "$work/head" -o "$work/answer" -w '%{http_code}' \
    "$@" -H "Feed: $feed" -T "$file" "${url%/}" 2>"$work/fault") || http=0
  # A head that was cut off is no answer: a number in it may be half of another.
  [ "$(tail -n 1 "$work/head")" = $'\r' ] || http=0
  if [ "$http" = 0 ]; then
    words="no answer: $(head -n 1 "$work/fault")"
    decision=$(after_delivery 0)
  else
    words="HTTP $http, Stroom-Status $(field Stroom-Status): $(head -n 1 "$work/answer")"
    decision=$(after_delivery "$http" "$(field Stroom-Status)" "$(field Retry-After)")
  fi
  case $decision in
    delete*) rm -- "$file" ;;
    again*)
      echo "kept $name, send again after ${decision#again } seconds: $words" >&2
      exit 75
      ;;
    *)
      mkdir -p "$outbox/held"
      [ ! -e "$outbox/held/$name" ] || name="$name.$(date +%s).$$"
      printf '%s\n' "$words" >"$outbox/held/$name.why"
      mv -- "$file" "$outbox/held/$name"
      echo "held $name: $words" >&2
      ;;
  esac
done

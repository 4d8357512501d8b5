# Copyright the authors of Stroom portal. SPDX-License-Identifier: Apache-2.0
# Decides what a sender does with its copy after it has sent data to Stroom, a stroom-proxy or this portal.
# Source it in Bash. A Retry-After that is a date needs the `date` of GNU; with another one the wait is a minute.

# after_delivery HTTP-STATUS [STROOM-STATUS [RETRY-AFTER [NOW]]]
#
# Prints the action and the seconds to wait. "delete": the data is stored there; delete your copy. "again": keep it and
# send it again after the wait. "hold": keep it, do not send it again until a person has changed something.
# HTTP-STATUS is 0 or 000 where no answer came; the next two are the values of the headers, empty without one;
# NOW is in seconds since 1970.
after_delivery() {
  local http=${1:-0} stroom again=no
  # What is no number is no answer that a sender knows.
  if [[ $http =~ ^[0-9]{1,3}$ ]]; then http=$((10#$http)); else http=600; fi
  stroom=$(_retry_trim "${2:-}")
  if [ "$http" = 200 ] && [ "$stroom" = 0 ]; then
    echo "delete 0"
    return
  fi
  case $stroom in
    # Answers after which the same request may succeed later, without a change.
    101 | 110 | 113 | 400 | 999) again=yes ;;
    # Answers after which something has to be changed first.
    100 | 102 | 103 | 104 | 111 | 112 | 120 | 200 | 300 | 301 | 302 | 303 | 304) ;;
    310 | 311 | 312 | 313 | 314 | 315 | 410) ;;
    *)
      case $http in
        501 | 505 | 506 | 508 | 510 | 511 | 561) ;;
        0 | 408 | 420 | 423 | 425 | 429 | 450 | 460 | 499 | 5[0-9][0-9]) again=yes ;;
      esac
      ;;
  esac
  if [ "$again" = yes ]; then
    echo "again $(_retry_wait "${3:-}" "${4:-$(date +%s)}")"
  else
    echo "hold 0"
  fi
}

_retry_trim() {
  local text=$1 blanks=$' \t\r\n'
  text=${text#"${text%%[!"$blanks"]*}"}
  printf '%s' "${text%"${text##*[!"$blanks"]}"}"
}

_retry_wait() {
  local text seconds day='[A-Z][a-z][a-z]'
  text=$(_retry_trim "$1")
  if [[ $text =~ ^[0-9]+$ ]]; then
    seconds=$((10#${text:0:9}))
  elif [[ $text =~ ^$day,\ ([0-9]{2}\ $day\ [0-9]{4}\ [0-9:]{8}\ GMT)$ ]] &&
    seconds=$(date -u -d "${BASH_REMATCH[1]}" +%s 2>/dev/null); then
    seconds=$((seconds - $2))
  else
    seconds=60
  fi
  if [ "$seconds" -lt 0 ]; then seconds=0; fi
  if [ "$seconds" -gt 86400 ]; then seconds=86400; fi
  echo "$seconds"
}

// Copyright the authors of Stroom portal. SPDX-License-Identifier: Apache-2.0
// Decides what a sender does with its copy after it has sent data to Stroom, a stroom-proxy or this portal.

// Answers after which the same request may succeed later, without a change.
const AGAIN_HTTP = new Set([
  408, 420, 423, 425, 429, 450, 460, 499, 500, 502, 503, 504, 507, 509,
  520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599,
]);
const AGAIN_STROOM = new Set(["101", "110", "113", "400", "999"]);
// Answers after which something has to be changed first.
const HOLD_STROOM = new Set([
  "100", "102", "103", "104", "111", "112", "120", "200", "300", "301", "302", "303", "304",
  "310", "311", "312", "313", "314", "315", "410",
]);
const HOLD_5XX = new Set([501, 505, 506, 508, 510, 511, 561]);
const DEFAULT_SECONDS = 60, MOST_SECONDS = 86400;
// White space of HTTP. trim() removes more, such as a no-break space, which makes a value no number.
const BLANKS = /^[ \t\r\n]+|[ \t\r\n]+$/g;

/**
 * Returns { action, seconds }. "delete": the data is stored there; delete your copy. "again": keep it and send it
 * again after the wait. "hold": keep it, do not send it again until a person has changed something.
 *
 * @param {number} httpStatus 0 where no answer came.
 * @param {?string} stroomStatus value of the header Stroom-Status; null or "" without one.
 * @param {?string} retryAfter value of the header Retry-After; null or "" without one.
 * @param {Date} now
 */
export function afterDelivery(httpStatus, stroomStatus, retryAfter, now = new Date()) {
  const stroom = (stroomStatus ?? "").replace(BLANKS, "");
  if (httpStatus === 200 && stroom === "0") return { action: "delete", seconds: 0 };
  const otherServerError = httpStatus >= 500 && httpStatus <= 599 && !HOLD_5XX.has(httpStatus);
  const again = AGAIN_STROOM.has(stroom) || HOLD_STROOM.has(stroom)
    ? AGAIN_STROOM.has(stroom)
    : httpStatus === 0 || AGAIN_HTTP.has(httpStatus) || otherServerError;
  return again ? { action: "again", seconds: wait((retryAfter ?? "").replace(BLANKS, ""), now) } : { action: "hold", seconds: 0 };
}

function wait(retryAfter, now) {
  if (/^[0-9]+$/.test(retryAfter)) return Math.min(Number(retryAfter.slice(0, 9)), MOST_SECONDS);
  // Date.parse takes much that is no date of HTTP, such as "-5".
  const date = /^[A-Z][a-z]{2}, ([0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT)$/.exec(retryAfter);
  const seconds = date ? Math.trunc((Date.parse(date[1]) - now.getTime()) / 1000) : NaN;
  return Number.isNaN(seconds) ? DEFAULT_SECONDS : Math.max(0, Math.min(seconds, MOST_SECONDS));
}

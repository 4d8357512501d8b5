// Copyright the authors of Stroom portal. SPDX-License-Identifier: Apache-2.0

// Package retry decides what a sender does with its copy after it has sent data to Stroom, a stroom-proxy or this portal.
package retry

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What to do with the copy.
const (
	// Delete: the data is stored there; delete your copy.
	Delete = "delete"
	// Again: keep it and send it again after the wait.
	Again = "again"
	// Hold: keep it, do not send it again until a person has changed something.
	Hold = "hold"
)

const (
	defaultWait = 60 * time.Second
	longestWait = 24 * time.Hour
	// White space of HTTP. TrimSpace removes more, such as a no-break space, which makes a value no number.
	blanks = " \t\r\n"
)

// Answers after which the same request may succeed later, without a change.
var (
	againHTTP = set(408, 420, 423, 425, 429, 450, 460, 499, 500, 502, 503, 504, 507, 509,
		520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599)
	againStroom = set(101, 110, 113, 400, 999)
	// Answers after which something has to be changed first.
	holdStroom = set(100, 102, 103, 104, 111, 112, 120, 200, 300, 301, 302, 303, 304,
		310, 311, 312, 313, 314, 315, 410)
	hold5xx = set(501, 505, 506, 508, 510, 511, 561)
)

// AfterDelivery returns what to do and how long to wait. httpStatus is 0 where no answer came; the other two are the
// values of the headers Stroom-Status and Retry-After, empty without one.
func AfterDelivery(httpStatus int, stroomStatus, retryAfter string, now time.Time) (string, time.Duration) {
	stroom := strings.Trim(stroomStatus, blanks)
	if httpStatus == http.StatusOK && stroom == "0" {
		return Delete, 0
	}
	again := httpStatus == 0 || againHTTP[httpStatus] ||
		(httpStatus >= 500 && httpStatus <= 599 && !hold5xx[httpStatus])
	if number, err := strconv.Atoi(stroom); err == nil && isDigits(stroom) && stroom == strconv.Itoa(number) {
		again = againStroom[number] || again && !holdStroom[number]
	}
	if !again {
		return Hold, 0
	}
	return Again, wait(strings.Trim(retryAfter, blanks), now)
}

func wait(retryAfter string, now time.Time) time.Duration {
	if isDigits(retryAfter) {
		if len(retryAfter) > 9 {
			retryAfter = retryAfter[:9]
		}
		seconds, _ := strconv.Atoi(retryAfter)
		return clamp(time.Duration(seconds) * time.Second)
	}
	_, date, _ := strings.Cut(retryAfter, ", ")
	moment, err := time.Parse("02 Jan 2006 15:04:05 GMT", date)
	if err != nil {
		return defaultWait
	}
	return clamp(moment.Sub(now).Truncate(time.Second))
}

func clamp(wait time.Duration) time.Duration {
	if wait < 0 {
		return 0
	}
	if wait > longestWait {
		return longestWait
	}
	return wait
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func set(numbers ...int) map[int]bool {
	found := make(map[int]bool, len(numbers))
	for _, number := range numbers {
		found[number] = true
	}
	return found
}

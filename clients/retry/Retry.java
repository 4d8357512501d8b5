// Copyright the authors of Stroom portal. SPDX-License-Identifier: Apache-2.0

import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Decides what a sender does with its copy after it has sent data to Stroom, a stroom-proxy or this portal. */
public final class Retry {
    /** What to do with the copy. */
    public enum Action {
        /** The data is stored there; delete your copy. */
        DELETE,
        /** Keep it and send it again after the wait. */
        AGAIN,
        /** Keep it, do not send it again until a person has changed something. */
        HOLD
    }

    /** What to do, and the seconds to wait. */
    public record Decision(Action action, long seconds) {}

    /** Answers after which the same request may succeed later, without a change. */
    private static final Set<Integer> AGAIN_HTTP = Set.of(
            408, 420, 423, 425, 429, 450, 460, 499, 500, 502, 503, 504, 507, 509,
            520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599);
    private static final Set<String> AGAIN_STROOM = Set.of("101", "110", "113", "400", "999");
    /** Answers after which something has to be changed first. */
    private static final Set<String> HOLD_STROOM = Set.of(
            "100", "102", "103", "104", "111", "112", "120", "200", "300", "301", "302", "303", "304",
            "310", "311", "312", "313", "314", "315", "410");
    private static final Set<Integer> HOLD_5XX = Set.of(501, 505, 506, 508, 510, 511, 561);
    /** White space of HTTP. strip() removes more, which makes a value no number. */
    private static final Pattern BLANKS = Pattern.compile("^[ \\t\\r\\n]+|[ \\t\\r\\n]+\\z");
    private static final Pattern DATE = Pattern.compile("[A-Z][a-z]{2}, ([0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT)");
    private static final long DEFAULT_SECONDS = 60;
    private static final long MOST_SECONDS = 86_400;

    private Retry() {}

    /**
     * @param httpStatus 0 where no answer came
     * @param stroomStatus value of the header Stroom-Status; null or empty without one
     * @param retryAfter value of the header Retry-After; null or empty without one
     */
    public static Decision afterDelivery(int httpStatus, String stroomStatus, String retryAfter, Instant now) {
        String stroom = trimmed(stroomStatus);
        if (httpStatus == 200 && stroom.equals("0")) {
            return new Decision(Action.DELETE, 0);
        }
        boolean otherServerError = httpStatus >= 500 && httpStatus <= 599 && !HOLD_5XX.contains(httpStatus);
        boolean again = AGAIN_STROOM.contains(stroom) || HOLD_STROOM.contains(stroom)
                ? AGAIN_STROOM.contains(stroom)
                : httpStatus == 0 || AGAIN_HTTP.contains(httpStatus) || otherServerError;
        return again ? new Decision(Action.AGAIN, waitSeconds(retryAfter, now)) : new Decision(Action.HOLD, 0);
    }

    private static String trimmed(String value) {
        return value == null ? "" : BLANKS.matcher(value).replaceAll("");
    }

    private static long waitSeconds(String retryAfter, Instant now) {
        String text = trimmed(retryAfter);
        if (text.matches("[0-9]+")) {
            return Math.min(Long.parseLong(text.substring(0, Math.min(9, text.length()))), MOST_SECONDS);
        }
        Matcher date = DATE.matcher(text);
        if (!date.matches()) {
            return DEFAULT_SECONDS;
        }
        try {
            Instant moment = ZonedDateTime.parse(date.group(1), DateTimeFormatter.RFC_1123_DATE_TIME).toInstant();
            return Math.max(0, Math.min(Duration.between(now, moment).toSeconds(), MOST_SECONDS));
        } catch (DateTimeException notADate) {
            return DEFAULT_SECONDS;
        }
    }
}

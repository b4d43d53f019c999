/*
 * The one table of error codes:
 *   ERR(name, number, sentence, HTTP status, retryable)
 *
 * Numbers are negative and never reused.  A service turns a code into its own
 * application error with its err_map (rpc/rpc.h); what a service cannot say
 * becomes the rpc error there.
 */
ERR(NOT_FOUND, -1, "not found", 404, false)
ERR(CONFLICT, -2, "changed by someone else meanwhile", 409, true)
ERR(WOULD_BLOCK, -3, "has to wait, and may not here", 503, true)
ERR(INVALID, -4, "the request is not valid", 400, false)
ERR(TOO_LARGE, -5, "the request is too large", 413, false)
ERR(DENIED, -6, "not allowed", 403, false)
ERR(EXISTS, -7, "exists already", 409, false)
ERR(ABORTED, -8, "surely nothing was written, try again", 503, true)
ERR(UNKNOWN, -9, "may or may not have been written", 504, false)
ERR(DEADLINE, -10, "the deadline has passed", 504, true)
ERR(IO, -11, "an input or output failed", 500, true)
ERR(NO_SPACE, -12, "the disk is full", 507, true)
ERR(CORRUPT, -13, "stored data does not read back", 500, false)
ERR(UNAVAILABLE, -14, "a part this needs is not running", 503, true)
ERR(UNIMPLEMENTED, -15, "not built", 501, false)
ERR(INTERNAL, -16, "internal error", 500, false)
ERR(UNAUTHENTICATED, -17, "no valid ticket or sign-in", 401, false)
ERR(NEED_INDEX, -18, "the query needs an index", 400, false)
ERR(DISABLED, -19, "switched off by the operator", 503, true)
ERR(EXHAUSTED, -20, "over its limit", 429, true)
ERR(CANCELLED, -21, "nobody waits for the answer", 499, false)
ERR(MALFORMED, -22, "the message cannot be decoded", 400, false)

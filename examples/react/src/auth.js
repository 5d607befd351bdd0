// The npm client as it is: the server speaks its language under /api/auth.
import { createAuthClient } from "better-auth/react";

export const auth = createAuthClient();

// For calls that must not be answered from a copy in a cookie, which may be minutes old.
export const PAST_CACHE = { query: { disableCookieCache: true } };

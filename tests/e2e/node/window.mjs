// The npm client for a page of the tests, bundled: `window.betterAuth.createAuthClient`.
export { createAuthClient } from "better-auth/client";

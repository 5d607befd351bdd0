// The npm client as it is: the server speaks its language under /api/auth.
import { createAuthClient } from "better-auth/react";

export const auth = createAuthClient();

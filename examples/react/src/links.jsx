// What the links in mails lead to: `/?link=…`, with a `token` or an `error` that the server adds.
import { useState } from "react";
import { auth } from "./auth.js";
import { Field, Said, useSubmit } from "./form.jsx";

export const TO = {
  newPassword: "/?link=new-password",
  verified: "/?link=verified",
  changed: "/?link=changed",
};
const OVER = "This link works no more: it was used before, or it is too old. Ask for a new one.";
const SUCCESSES = {
  "new-password": "Your new password is set; all devices were signed out.",
  verified: "Your e-mail address is verified.",
  changed: "Your e-mail address is changed.",
};
const PROBLEMS = {
  INVALID_TOKEN: OVER,
  USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL: "This address cannot be used; give another one.",
};

export function useLink() {
  const [link, setLink] = useState(() =>
    Object.fromEntries(new URLSearchParams(window.location.search)),
  );
  // The token is of no more use then, and nobody should find it in the history.
  function close(link = {}) {
    window.history.replaceState(null, "", "/");
    setLink(link);
  }
  return [link, close];
}

export function NewPassword({ token, onDone, onBack }) {
  const { onSubmit, isBusy, problem } = useSubmit(async ({ newPassword }) => {
    const answer = await auth.resetPassword({ newPassword, token });
    if (answer.data) onDone();
    return answer.error?.code === "INVALID_TOKEN" ? { error: { message: OVER } } : answer;
  });
  return (
    <section className="card">
      <h2>Choose a new password</h2>
      <form onSubmit={onSubmit}>
        <Field
          label="New password"
          name="newPassword"
          type="password"
          autoComplete="new-password"
          minLength={8}
          required
        />
        <Said problem={problem} />
        <div className="actions">
          <button disabled={isBusy}>Set password</button>
          <button type="button" className="quiet" onClick={onBack}>
            Back
          </button>
        </div>
      </form>
    </section>
  );
}

export function LinkFollowed({ link, onClose }) {
  const problem = link.error && (PROBLEMS[link.error] || `That did not work (${link.error}).`);
  if (!problem && !SUCCESSES[link.link]) return null;
  return (
    <section className="card">
      <Said problem={problem} hasWorked success={SUCCESSES[link.link]} />
      <button type="button" className="quiet" onClick={onClose}>
        Close
      </button>
    </section>
  );
}

// Two forms about the e-mail address: have it verified, and change it.
import { auth, PAST_CACHE } from "./auth.js";
import { Field, Said, useSubmit } from "./form.jsx";
import { TO } from "./links.jsx";
import { useStepUp } from "./StepUp.jsx";

export function VerifyEmail({ email, refetch }) {
  const { onSubmit, isBusy, problem, hasWorked } = useSubmit(async () => {
    const answer = await auth.sendVerificationEmail({ email, callbackURL: TO.verified });
    // It was verified on another device; then this notice goes.
    if (answer.error?.code === "EMAIL_ALREADY_VERIFIED") await refetch(PAST_CACHE);
    return answer;
  });
  return (
    <section className="card">
      <h2>Verify your e-mail address</h2>
      <p>Nobody knows yet whether mails reach you there.</p>
      <form onSubmit={onSubmit}>
        <Said problem={problem} hasWorked={hasWorked} success="A link is on its way to you." />
        <button disabled={isBusy}>Send me a link</button>
      </form>
    </section>
  );
}

export function ChangeEmail() {
  const { withStepUp, dialog } = useStepUp();
  const { onSubmit, isBusy, problem, hasWorked } = useSubmit(({ newEmail }) =>
    withStepUp(() => auth.changeEmail({ newEmail, callbackURL: TO.changed })),
  );
  return (
    <section className="card">
      <h2>Your e-mail address</h2>
      <form onSubmit={onSubmit}>
        <Field label="New e-mail" name="newEmail" type="email" autoComplete="email" required />
        <Said
          problem={problem}
          hasWorked={hasWorked}
          success="A link is on its way to the new address; yours changes when you open it."
        />
        <button disabled={isBusy}>Change e-mail</button>
      </form>
      {dialog}
    </section>
  );
}

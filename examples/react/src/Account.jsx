// What somebody who is signed in sees: themselves, their sessions, what they can change.
import { auth, PAST_CACHE } from "./auth.js";
import { ChangeEmail, VerifyEmail } from "./Email.jsx";
import { Field, Said, useSubmit } from "./form.jsx";
import { Sessions } from "./Sessions.jsx";
import { useStepUp } from "./StepUp.jsx";

const INSTANT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

export function Account({ user, session, refetch }) {
  const leaving = useSubmit(() => auth.signOut());
  // useSession() follows by itself; getSession() asks once, here past any cached copy.
  const checking = useSubmit(async () => {
    const answer = await auth.getSession(PAST_CACHE);
    if (answer.data || answer.error) return answer;
    await refetch(PAST_CACHE);
    return { data: null, error: { message: "No, that session has ended." } };
  });
  return (
    <>
      <section className="card">
        <h2>
          Hello, <bdi>{user.name}</bdi>!
        </h2>
        <p>
          You are signed in as{" "}
          <strong>
            <bdi>{user.email}</bdi>
          </strong>{" "}
          until{" "}
          <time dateTime={session.expiresAt.toISOString()}>{INSTANT.format(session.expiresAt)}</time>
          .
        </p>
        <Said
          problem={leaving.problem || checking.problem}
          hasWorked={checking.hasWorked}
          success="Yes, says the server."
        />
        <div className="actions">
          <form onSubmit={leaving.onSubmit}>
            <button className="quiet" disabled={leaving.isBusy}>
              Sign out
            </button>
          </form>
          <form onSubmit={checking.onSubmit}>
            <button className="quiet" disabled={checking.isBusy}>
              Still signed in?
            </button>
          </form>
        </div>
      </section>
      {!user.emailVerified && <VerifyEmail email={user.email} refetch={refetch} />}
      <Sessions currentId={session.id} />
      <Name current={user.name} />
      <ChangeEmail />
      <Password />
      <Leaving />
    </>
  );
}

function Name({ current }) {
  const { onSubmit, isBusy, problem, hasWorked } = useSubmit(({ name }) =>
    auth.updateUser({ name }),
  );
  return (
    <section className="card">
      <h2>Your name</h2>
      <form onSubmit={onSubmit}>
        <Field label="Name" name="name" placeholder={current} autoComplete="name" required />
        <Said problem={problem} hasWorked={hasWorked} success="Saved." />
        <button disabled={isBusy}>Save</button>
      </form>
    </section>
  );
}

function Password() {
  const { onSubmit, isBusy, problem, hasWorked } = useSubmit(({ currentPassword, newPassword }) =>
    auth.changePassword({ currentPassword, newPassword, revokeOtherSessions: true }),
  );
  return (
    <section className="card">
      <h2>Your password</h2>
      <form onSubmit={onSubmit}>
        <Field
          label="Current password"
          name="currentPassword"
          type="password"
          autoComplete="current-password"
          required
        />
        <Field
          label="New password"
          name="newPassword"
          type="password"
          autoComplete="new-password"
          minLength={8}
          required
        />
        <Said
          problem={problem}
          hasWorked={hasWorked}
          success="Changed; your other devices are signed out."
        />
        <button disabled={isBusy}>Change password</button>
      </form>
    </section>
  );
}

function Leaving() {
  const { withStepUp, dialog } = useStepUp();
  const { onSubmit, isBusy, problem } = useSubmit(() => withStepUp(() => auth.deleteUser()));
  return (
    <section className="card">
      <h2>Delete your account</h2>
      <form onSubmit={onSubmit}>
        <label className="check">
          <input type="checkbox" required />
          Delete it, and all that belongs to it, for good
        </label>
        <Said problem={problem} />
        <button className="quiet" disabled={isBusy}>
          Delete account
        </button>
      </form>
      {dialog}
    </section>
  );
}

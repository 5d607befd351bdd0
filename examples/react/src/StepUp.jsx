// Asks for the password again where the server wants to know who is there: a step-up.
import { useEffect, useId, useRef, useState } from "react";
import { auth } from "./auth.js";
import { Field, Said, useSubmit } from "./form.jsx";

// `withStepUp(action)` does an action, and again once the password was given; show `dialog`.
export function useStepUp() {
  const [finish, setFinish] = useState(null);

  async function withStepUp(action) {
    const answer = await action();
    if (answer.error?.code !== "SESSION_NOT_FRESH") return answer;
    const isConfirmed = await new Promise((resolve) => setFinish(() => resolve));
    setFinish(null);
    if (isConfirmed) return withStepUp(action);
    return { data: null, error: { message: "Nothing was changed: you did not confirm it." } };
  }

  return { withStepUp, dialog: finish && <PasswordDialog onFinish={finish} /> };
}

function PasswordDialog({ onFinish }) {
  const titleId = useId();
  const dialog = useRef(null);
  const { onSubmit, isBusy, problem } = useSubmit(async ({ password }) => {
    const answer = await auth.$fetch("/verify-password", { method: "POST", body: { password } });
    if (!answer.error) {
      onFinish(true);
      dialog.current.close(); // So the focus goes back to where it was.
    }
    return answer;
  });
  useEffect(() => {
    if (!dialog.current.open) dialog.current.showModal();
  }, []);
  return (
    <dialog ref={dialog} className="card" aria-labelledby={titleId} onClose={() => onFinish(false)}>
      <h2 id={titleId}>Is it you?</h2>
      <p>Before this goes on, give your password.</p>
      <form onSubmit={onSubmit}>
        <Field
          label="Password"
          name="password"
          type="password"
          autoComplete="current-password"
          required
        />
        <Said problem={problem} />
        <div className="actions">
          <button disabled={isBusy}>Confirm</button>
          <button type="button" className="quiet" onClick={() => dialog.current.close()}>
            Cancel
          </button>
        </div>
      </form>
    </dialog>
  );
}

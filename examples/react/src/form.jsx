// What all forms share: one submission at a time, and what the server said about it.
import { useId, useState } from "react";

// The client answers {data, error}, but throws when no server answers at all.
export async function orUnreachable(call) {
  const unreachable = { message: "The server can’t be reached; try again in a moment." };
  try {
    const { data, error } = await call;
    return { data, error: error && { ...error, message: error.message || unreachable.message } };
  } catch {
    return { data: null, error: unreachable };
  }
}

export function useSubmit(send) {
  const [isBusy, setIsBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const [hasWorked, setHasWorked] = useState(false);

  async function onSubmit(event) {
    event.preventDefault();
    const form = event.currentTarget;
    setIsBusy(true);
    setProblem(null);
    setHasWorked(false);
    const { error } = await orUnreachable(send(Object.fromEntries(new FormData(form))));
    setIsBusy(false);
    if (error) {
      setProblem(error.message);
      return;
    }
    setHasWorked(true);
    form.reset();
  }

  return { onSubmit, isBusy, problem, hasWorked };
}

export function Field({ label, ...input }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} {...input} />
    </div>
  );
}

export function Said({ problem, hasWorked, success }) {
  if (problem) return <p role="alert" className="problem">{problem}</p>;
  if (hasWorked && success) return <p role="status" className="success">{success}</p>;
  return null;
}

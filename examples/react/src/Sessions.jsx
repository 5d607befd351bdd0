// The user's sessions, with a way to end each.
import { useCallback, useEffect, useState } from "react";
import { auth } from "./auth.js";
import { orUnreachable } from "./form.jsx";

export function Sessions({ currentId }) {
  const [sessions, setSessions] = useState(null);
  const [problem, setProblem] = useState(null);

  const load = useCallback(async () => {
    const { data, error } = await orUnreachable(auth.listSessions());
    setSessions(data ?? []);
    setProblem(error ? error.message : null);
  }, []);

  // Anew when the session is replaced, as by a change of the password.
  useEffect(() => {
    load();
  }, [load, currentId]);

  async function end(action) {
    const { error } = await orUnreachable(action);
    if (error) setProblem(error.message);
    else await load();
  }

  return (
    <section className="card">
      <h2>Your sessions</h2>
      {problem && <p role="alert" className="problem">{problem}</p>}
      {sessions === null ? (
        <p role="status">One moment…</p>
      ) : (
        <ul className="sessions">
          {sessions.map((session) => (
            <li key={session.id}>
              <span>
                <span className="agent">{session.userAgent || "Unknown device"}</span>
                <small>
                  {session.ipAddress || "no address"}
                  {session.id === currentId && " · this device"}
                </small>
              </span>
              {session.id !== currentId && (
                <button
                  type="button"
                  aria-label={`End session: ${session.userAgent || "unknown device"}`}
                  onClick={() => end(auth.revokeSession({ token: session.token }))}
                >
                  End
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      <p className="actions">
        <button type="button" onClick={() => end(auth.revokeOtherSessions())}>
          End all others
        </button>
        <button type="button" onClick={() => end(auth.revokeSessions())}>
          End all, this one too
        </button>
      </p>
    </section>
  );
}

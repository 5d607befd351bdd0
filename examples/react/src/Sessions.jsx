// The user's sessions, with a way to end each.
import { useCallback, useEffect, useState } from "react";
import { auth } from "./auth.js";
import { orUnreachable } from "./form.jsx";

// What the server calls a device that it has no name for.
const UNKNOWN = "Unknown device";

export function Sessions({ currentId }) {
  const [sessions, setSessions] = useState(null);
  const [problem, setProblem] = useState(null);

  const load = useCallback(async () => {
    const { data, error } = await orUnreachable(auth.listSessions());
    // A list that can't be had anew is better shown as it was.
    if (data) setSessions(data);
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
        !problem && <p role="status">One moment…</p>
      ) : (
        <ul className="sessions">
          {sessions.map((session) => (
            <li key={session.id}>
              <span>
                <strong>{session.device}</strong>
                <small>
                  {session.device === UNKNOWN && session.userAgent && (
                    <bdi className="agent">{session.userAgent}</bdi>
                  )}
                  {session.ipAddress || "no address"}
                  {session.id === currentId && " · this device"}
                </small>
              </span>
              {session.id !== currentId && (
                <button
                  type="button"
                  className="quiet"
                  aria-label={`End session: ${session.device}, ${session.ipAddress || "no address"}`}
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
        <button type="button" className="quiet" onClick={() => end(auth.revokeOtherSessions())}>
          End all others
        </button>
        <button type="button" className="quiet" onClick={() => end(auth.revokeSessions())}>
          End all, this one too
        </button>
      </p>
    </section>
  );
}

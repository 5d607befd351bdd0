// Shows who is signed in, or a way to do so; every fact comes from useSession().
import { auth } from "./auth.js";
import { Account } from "./Account.jsx";
import { Welcome } from "./Welcome.jsx";

export function App() {
  const { data, isPending, error, refetch } = auth.useSession();

  return (
    <main>
      <h1>Sessions in React</h1>
      {isPending ? (
        <p role="status">One moment…</p>
      ) : error ? (
        <section className="card" role="alert">
          <h2>The server can’t be reached</h2>
          <p>You are not signed out; nothing is known just now. ({error.status || "no answer"})</p>
          <button type="button" onClick={() => refetch()}>
            Try again
          </button>
        </section>
      ) : data ? (
        <Account user={data.user} session={data.session} />
      ) : (
        <Welcome />
      )}
    </main>
  );
}

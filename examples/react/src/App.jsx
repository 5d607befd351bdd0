// Shows who is signed in, or a way to do so; every fact comes from useSession().
import { useState } from "react";
import { auth } from "./auth.js";
import { Account } from "./Account.jsx";
import { LinkFollowed, NewPassword, useLink } from "./links.jsx";
import { Welcome } from "./Welcome.jsx";

export function App() {
  const { data, isPending, error, refetch } = auth.useSession();
  const [isKnown, setIsKnown] = useState(false);
  const [link, closeLink] = useLink();
  // Known once, it stays on show while the client asks again or can't: forms keep what was typed.
  if (!isKnown && !isPending && !error) setIsKnown(true);

  if (link.link === "new-password" && link.token) {
    return (
      <Page>
        <NewPassword
          token={link.token}
          onDone={() => {
            closeLink({ link: "new-password" });
            refetch();
          }}
          onBack={() => closeLink()}
        />
      </Page>
    );
  }
  return (
    <Page>
      <LinkFollowed link={link} onClose={() => closeLink()} />
      {error ? <Unreachable error={error} isKnown={isKnown} onRetry={() => refetch()} /> : null}
      {isKnown ? (
        data ? (
          <Account key={data.user.id} user={data.user} session={data.session} refetch={refetch} />
        ) : (
          <Welcome />
        )
      ) : isPending ? (
        <p role="status">One moment…</p>
      ) : null}
    </Page>
  );
}

function Page({ children }) {
  return (
    <main>
      <h1>Sessions in React</h1>
      {children}
    </main>
  );
}

function Unreachable({ error, isKnown, onRetry }) {
  return (
    <section className="card away" role="alert">
      <h2>The server can’t be reached</h2>
      <p>
        {isKnown
          ? "What you see is from before; nobody was signed out."
          : "Nothing is known just now; nobody was signed out."}{" "}
        ({error.status || "no answer"})
      </p>
      <button type="button" onClick={onRetry}>
        Try again
      </button>
    </section>
  );
}

// What a visitor sees: sign in, sign up, or ask for a link to set a new password.
import { useState } from "react";
import { auth } from "./auth.js";
import { Field, Said, useSubmit } from "./form.jsx";
import { TO } from "./links.jsx";

const FORMS = {
  "Sign in": { Form: SignIn, goTo: "I have an account" },
  "Create an account": { Form: SignUp, goTo: "I am new here" },
  "Set a new password": { Form: ForgottenPassword, goTo: "Forgot your password?" },
};

export function Welcome() {
  const [title, setTitle] = useState("Sign in");
  const { Form } = FORMS[title];
  const others = Object.entries(FORMS).filter(([other]) => other !== title);
  return (
    <section className="card">
      <h2>{title}</h2>
      <Form />
      <p className="actions">
        {others.map(([other, { goTo }]) => (
          <button key={other} type="button" className="link" onClick={() => setTitle(other)}>
            {goTo}
          </button>
        ))}
      </p>
    </section>
  );
}

function SignIn() {
  const { onSubmit, isBusy, problem } = useSubmit(({ email, password, rememberMe }) =>
    auth.signIn.email({ email, password, rememberMe: rememberMe === "on" }),
  );
  return (
    <form onSubmit={onSubmit}>
      <Field label="E-mail" name="email" type="email" autoComplete="username" required />
      <Field
        label="Password"
        name="password"
        type="password"
        autoComplete="current-password"
        required
      />
      <label className="check">
        <input type="checkbox" name="rememberMe" defaultChecked />
        Stay signed in on this device
      </label>
      <Said problem={problem} />
      <button disabled={isBusy}>Sign in</button>
    </form>
  );
}

function SignUp() {
  const { onSubmit, isBusy, problem } = useSubmit(({ name, email, password }) =>
    auth.signUp.email({ name, email, password }),
  );
  return (
    <form onSubmit={onSubmit}>
      <Field label="Name" name="name" autoComplete="name" required />
      <Field label="E-mail" name="email" type="email" autoComplete="username" required />
      <Field
        label="Password"
        name="password"
        type="password"
        autoComplete="new-password"
        minLength={8}
        required
      />
      <Said problem={problem} />
      <button disabled={isBusy}>Sign up</button>
    </form>
  );
}

function ForgottenPassword() {
  const { onSubmit, isBusy, problem, hasWorked } = useSubmit(({ email }) =>
    auth.requestPasswordReset({ email, redirectTo: TO.newPassword }),
  );
  return (
    <form onSubmit={onSubmit}>
      <Field label="E-mail" name="email" type="email" autoComplete="username" required />
      <Said
        problem={problem}
        hasWorked={hasWorked}
        success="If you have an account with this address, a link is on its way to you."
      />
      <button disabled={isBusy}>Send me a link</button>
    </form>
  );
}

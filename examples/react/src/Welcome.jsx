// What a visitor sees: sign in, or sign up.
import { useState } from "react";
import { auth } from "./auth.js";
import { Field, Said, useSubmit } from "./form.jsx";

export function Welcome() {
  const [isNew, setIsNew] = useState(false);
  return (
    <section className="card">
      <h2>{isNew ? "Create an account" : "Sign in"}</h2>
      {isNew ? <SignUp /> : <SignIn />}
      <p>
        <button type="button" className="link" onClick={() => setIsNew(!isNew)}>
          {isNew ? "I have an account" : "I am new here"}
        </button>
      </p>
    </section>
  );
}

// With an e-mail it is for somebody who is signed in, and takes the place of their session.
export function SignIn({ email: known }) {
  const { onSubmit, isBusy, problem } = useSubmit(({ email, password, rememberMe }) =>
    auth.signIn.email({ email, password, rememberMe: rememberMe === "on" }),
  );
  return (
    <form onSubmit={onSubmit}>
      <Field
        label="E-mail"
        name="email"
        type="email"
        autoComplete="username"
        defaultValue={known}
        readOnly={known !== undefined}
        required
      />
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

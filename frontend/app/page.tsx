"use client";

import { Board } from "@/components/Board";
import { Bell } from "@/components/icons";
import { SignIn } from "@/components/SignIn";
import { useSession, WhoContext } from "@/lib/session";

export default function Page() {
  const { session, check, enter, leave } = useSession();
  if (session.phase === "asking") {
    return (
      <main className="door">
        <p className="brand">
          <Bell />
          openbell
        </p>
        {session.failed && <p role="alert">The platform cannot be reached. Is openbell running? It is tried again every two seconds.</p>}
      </main>
    );
  }
  if (session.phase === "out") return <SignIn signUp={session.signUp} onEnter={enter} />;
  return (
    <WhoContext value={session.who}>
      <Board key={session.who.name} who={session.who} onCheck={check} onLeave={leave} />
    </WhoContext>
  );
}

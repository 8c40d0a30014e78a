"use client";

export default function Failure() {
  return (
    <main className="lost" role="alert">
      <h1>This page has stopped working</h1>
      <p>The platform itself is not affected: strategies and orders go on as they were.</p>
      <p>
        <button type="button" onClick={() => window.location.reload()}>
          Load the page again
        </button>
      </p>
    </main>
  );
}

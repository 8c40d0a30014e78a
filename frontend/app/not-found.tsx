export default function NotFound() {
  return (
    <main className="lost">
      <h1>There is no such page</h1>
      <p>
        openbell has one page. <a href="/">Open it</a>
      </p>
    </main>
  );
}

// Runs before the first paint, so that a dark page never flashes white. The rest is in lib/theme.ts.
document.documentElement.dataset.theme =
  localStorage.getItem("openbell-theme") ||
  (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

// The page's few drawings: lines of one width, in the colour of the text.

const drawn = {
  viewBox: "0 0 24 24",
  fill: "none",
  stroke: "currentColor",
  strokeWidth: 1.75,
  strokeLinecap: "round",
  strokeLinejoin: "round",
  "aria-hidden": true,
} as const;

/** An opening bell with a candle in it. */
export function Bell() {
  return (
    <svg {...drawn} className="bell">
      <path d="M12 2.75a6 6 0 0 0-6 6v4.5l-2 3.5h16l-2-3.5v-4.5a6 6 0 0 0-6-6Z" />
      <path d="M12 6v7" />
      <path d="M10.6 7.9h2.8v3.1h-2.8z" fill="currentColor" />
      <path d="M10 19.75a2.1 2.1 0 0 0 4 0" />
    </svg>
  );
}

export function Sun() {
  return (
    <svg {...drawn}>
      <circle cx="12" cy="12" r="4" />
      <path d="M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M5.6 18.4l1.1-1.1M17.3 6.7l1.1-1.1" />
    </svg>
  );
}

export function Moon() {
  return (
    <svg {...drawn}>
      <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z" />
    </svg>
  );
}

export function Person() {
  return (
    <svg {...drawn}>
      <circle cx="12" cy="8" r="3.75" />
      <path d="M4.5 20a7.5 7.5 0 0 1 15 0" />
    </svg>
  );
}

/** Something that is sent: a paper plane. */
export function Plane() {
  return (
    <svg {...drawn}>
      <path d="M20.5 3.5 3.5 10.25l6.75 3.5 3.5 6.75Z" />
      <path d="M20.5 3.5 10.25 13.75" />
    </svg>
  );
}

export function Cross() {
  return (
    <svg {...drawn}>
      <path d="M6 6l12 12M18 6 6 18" />
    </svg>
  );
}

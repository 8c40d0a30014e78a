import type { NextConfig } from "next";
import { version } from "./package.json";

const config: NextConfig = {
  output: "export",
  // The same sources give the same files, so that two builds of a release can be compared.
  generateBuildId: () => version,
  images: { unoptimized: true },
  turbopack: { root: import.meta.dirname },
  devIndicators: false,
  poweredByHeader: false,
};

export default config;

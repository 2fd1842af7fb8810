// What stands in the core bundle in the place of modules that it does without: each says so to whoever asks for it.
// `scripts/build.mjs` puts them there.

/** What an error tells about something that only the main entry has. */
export const ABSENT = {
  stage: "connecting",
  code: "unsupported",
  remedy: 'Import from "readywire", which has it, instead of "readywire/core".',
} as const;

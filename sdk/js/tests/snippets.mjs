// The snippets of a page, as a module that the compiler can judge.

/** What the prose around the snippets has introduced, or takes for granted. */
const GIVEN = `
declare const client: import("readywire").Client;
declare const url: string;
declare const token: import("readywire").TokenProvider;
declare const prompt: string;
declare const payload: unknown;
declare const oldest: number;
declare const epoch: string;
declare const file: File;
declare const canvasPixels: ImageData;
declare const recording: Uint8Array[];
declare function fetchToken(): Promise<string>;
declare function show(...what: unknown[]): void;
declare function showGap(): void;
declare function showDialog(question: unknown, options: { signal: AbortSignal }): Promise<boolean>;
declare function render(...what: unknown[]): void;
`;

/** A module with a function for each `ts` block; what it lacks of the package's functions is imported. */
export function compilable(page) {
  const imports = new Set(['import { connect } from "readywire";']);
  const functions = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block], index) => {
    const lines = block.split("\n");
    for (const line of lines) if (line.startsWith("import ")) imports.add(line);
    const body = lines.filter((line) => !line.startsWith("import ")).join("\n");
    return `export async function snippet${index + 1}(): Promise<void> {\n${body}}\n`;
  });
  return { count: functions.length, source: [...imports, GIVEN, ...functions].join("\n") };
}

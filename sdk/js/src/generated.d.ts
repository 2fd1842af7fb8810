// What the build puts in place of these two names: the glue between the module and the page, and the module as base64.

declare module "readywire-glue" {
  export const RawClient: import("./raw.js").RawClientConstructor;
  export const imports: WebAssembly.Imports;
  export function start(exports: WebAssembly.Exports): void;
}

declare module "readywire-module-base64" {
  const base64: string;
  export default base64;
}

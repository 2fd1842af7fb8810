// What the build puts in place of these two names: the glue that wasm-bindgen generates, and the module as base64.

declare module "readywire-glue" {
  const initialise: import("./raw.js").Glue["default"];
  export default initialise;
  export const RawClient: import("./raw.js").RawClientConstructor;
}

declare module "readywire-module-base64" {
  const base64: string;
  export default base64;
}

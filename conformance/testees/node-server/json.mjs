// @ts-check
// What JSON.parse cannot tell of a frame: keys that stand twice, depth, and the text of a value as it was written.

/**
 * @typedef {object} Scan
 * @property {[key: string, text: string][]} members in their order, each value as its text
 * @property {number} depth how deep objects and arrays nest, the object itself being the first
 */

/**
 * Takes the text of a JSON object apart. The text is known to be valid: `assertObject` has looked at it.
 *
 * @param {string} text
 * @returns {Scan}
 */
export function scan(text) {
  /** @type {Scan} */
  const found = { members: [], depth: 0 };
  let depth = 0;
  let key = "";
  let start = 0;
  const endMember = (/** @type {number} */ at) => {
    const value = text.slice(start, at).trim();
    if (value) found.members.push([key, value]);
  };

  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '"':
        at = closingQuote(text, at);
        break;
      case ":":
        if (depth !== 1) break;
        key = JSON.parse(text.slice(start, at));
        start = at + 1;
        break;
      case ",":
        if (depth !== 1) break;
        endMember(at);
        start = at + 1;
        break;
      case "{":
      case "[":
        found.depth = Math.max(found.depth, ++depth);
        if (depth === 1) start = at + 1;
        break;
      case "}":
      case "]":
        if (depth-- === 1) endMember(at);
        break;
    }
  }
  return found;
}

/**
 * The text of one member of an object, as it was written.
 *
 * @param {string} text of any valid JSON value
 * @param {string} key
 * @returns {string | undefined} undefined, too, if the value is no object
 */
export function member(text, key) {
  return text.startsWith("{") ? scan(text).members.findLast(([name]) => name === key)?.[1] : undefined;
}

/**
 * Throws a SyntaxError unless the text is exactly one JSON object.
 *
 * @param {string} text
 */
export function assertObject(text) {
  const value = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new SyntaxError("not an object");
}

/** @param {string} text @param {number} at the opening quote */
function closingQuote(text, at) {
  at++;
  while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

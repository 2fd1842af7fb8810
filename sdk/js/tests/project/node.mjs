const before = Object.getOwnPropertyNames(globalThis).join();
const { connect } = await import("readywire");
if (Object.getOwnPropertyNames(globalThis).join() !== before) throw new Error("the import has a side effect");

const { scenario } = await import("./scenario.js");
const [url, token] = process.argv.slice(2);
console.log(JSON.stringify(await scenario(connect, url, token)));

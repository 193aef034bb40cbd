/** @file Public API of the text package. */

export { textFamilies } from './families/index.ts';
export { llama } from './families/llama.ts';
export { textPlugin } from './plugin.ts';

/** @file Public API of the text package. */

export { textFamilies } from './families/index.ts';
export { mixtral, qwenMoe } from './families/experts.ts';
export { bloom, gpt2, gptNeox, opt } from './families/gpt.ts';
export { gemma, llama, mistral, qwen2, qwen3, smollm3 } from './families/llama.ts';
export { phi, phi3 } from './families/phi.ts';
export type { StretchMethod } from './positions/frequencies.ts';
export { stretchPositions, type StretchOptions } from './positions/stretchPositions.ts';
export { textPlugin } from './plugin.ts';

/** @file What models of texts, proteins, DNA and molecules share: they read tokens. */

export { EsmTokenizer, type EsmTokenizerOptions } from './tokenizers/esmTokenizer.ts';
export { openTokenizer } from './tokenizers/openTokenizer.ts';
export type { FramedTokens, SequenceTokenizer, SequenceTokens } from './tokenizers/sequenceTokenizer.ts';

/** @file Public API of the science package. */

export { EsmTokenizer } from './esmTokenizer.ts';
export { bert } from './families/bert.ts';
export { esm } from './families/esm.ts';
export { scienceFamilies } from './families/index.ts';
export { parseFasta, readFasta, type FastaRecord } from './fasta.ts';
export { scienceModule } from './module.ts';
export { SequencePreprocessor, type SequenceOptions } from './preprocessor.ts';

/** @file Public API of the science package. */

export { parseFasta, readFasta, type FastaRecord } from './data/fasta.ts';
export type { Alphabet, SequenceData, SequenceRecord, Substitution } from './data/sequenceRecord.ts';
export type {
  GivenSequenceRecord,
  SequenceColumns,
  SequenceDataOptions,
  SequenceSource,
  SequenceSplitBy,
} from './data/sequenceSource.ts';
export { bert } from './families/bert.ts';
export { esm } from './families/esm.ts';
export { scienceFamilies } from './families/index.ts';
export { scienceModule } from './module.ts';
export { SequencePreprocessor, type SequenceOptions } from './preprocessor.ts';
export type {
  LengthOptions,
  SequenceDataset,
  SequenceExample,
  SequencePorts,
  SequenceTask,
  SequenceTaskOptions,
  TokenRow,
} from './tasks/sequenceTask.ts';
export { EsmTokenizer } from './tokenizers/esmTokenizer.ts';
export type { FramedTokens, SequenceTokenizer, SequenceTokens } from './tokenizers/sequenceTokenizer.ts';

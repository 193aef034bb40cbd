/** @file Public API of the science package. */

export { type Chemistry, openChemistry } from './chemistry/chemistry.ts';
export { withRandomSmiles } from './chemistry/randomSmiles.ts';
export { type A3mOptions, type FastaOptions, type FastaRecord, parseA3m, parseFasta } from './data/formats/fasta.ts';
export { readFasta } from './data/sequenceFile.ts';
export { parseFastq } from './data/formats/fastq.ts';
export { parseStockholm, type StockholmRecord } from './data/formats/stockholm.ts';
export { mutated, mutationsBetween, nameOfMutations, parseMutations } from './data/mutations.ts';
export { readSequenceData } from './data/readSequenceData.ts';
export type {
  Alphabet,
  GivenSequenceRecord,
  SequenceColumns,
  SequenceData,
  SequenceDataOptions,
  SequenceNeed,
  SequenceRecord,
  SequenceSource,
  SequenceSplitBy,
  Substitution,
} from './data/sequenceRecord.ts';
export { sequenceEndings, type StreamedSequence, streamSequences } from './data/streamSequences.ts';
export { esm } from './families/esm.ts';
export { scienceFamilies } from './families/index.ts';
export type { SequencePredictorOptions, SequenceTaskOptions, WholeSequenceOptions } from './domain.ts';
export { sciencePlugin } from './plugin.ts';
export { logoColumn, type LogoRequest, logoSection } from './report/logoSections.ts';
export { type ClusterOptions, clusterSequences } from './splits/similarity/clusterSequences.ts';
export { clusterMolecules } from './splits/sequenceGroups.ts';
export {
  type SimilarityOptions,
  type SimilarRecords,
  similarAcrossSplits,
  similarRecords,
} from './splits/similarAcrossSplits.ts';
export { type SequenceSplit, type SequenceSplitOptions, splitSequences } from './splits/splitSequences.ts';
export { type AttentionOptions, attentionOver, type LetterAttention } from './tasks/attention/attentionOver.ts';
export {
  openSequenceClassifier,
  openSequenceLabeller,
  openSequenceRegressor,
  sequenceClassification,
  type SequenceClassificationOptions,
  sequenceClassificationTask,
  type SequenceClassScores,
  sequenceLabelling,
  type SequenceLabellingOptions,
  sequenceLabellingTask,
  sequenceRegression,
  type SequenceRegressionOptions,
  sequenceRegressionTask,
} from './tasks/classification/sequenceTasks.ts';
export {
  maskedLanguageModelling,
  type MaskedLanguageModellingOptions,
  maskedLanguageModellingTask,
  openPerplexity,
  type PerplexityOptions,
} from './tasks/masked/maskedLanguageModelling.ts';
export type { MaskingOptions } from '@onnx-lora/sequences';
export { openResidueClassifier, openResidueRegressor } from './tasks/residues/openResidueClassifier.ts';
export {
  residueClassification,
  type ResidueClassificationOptions,
  residueClassificationTask,
  type ResidueExample,
  residueRegression,
  type ResidueRegressionOptions,
  residueRegressionTask,
} from './tasks/residues/residueTasks.ts';
export {
  openSequenceEmbedder,
  sequenceEmbeddingTask,
  sequenceRetrieval,
  type SequenceRetrievalOptions,
  sequenceRetrievalTask,
} from './tasks/embedding/sequenceEmbedding.ts';
export { mutationScanTask, variantEffectTask } from './tasks/variants/variantFactories.ts';
export { type MeasuredVariant, variantEffect, type VariantEffectOptions } from './tasks/variants/variantEffect.ts';
export {
  type MutationScan,
  mutationScan,
  type MutationScannerOptions,
  type ScanOptions,
} from './variants/mutationScan.ts';
export type { PredictedScorerOptions } from './variants/predictedScorer.ts';
export {
  openVariantScorer,
  scoreVariants,
  type VariantMethod,
  variantMethods,
  type VariantScorerOptions,
} from './variants/variantScorer.ts';
export type { TokenScoresOptions } from './variants/tokenScores.ts';
export type { EffectScorer, ScoreOptions, Variant, VariantScorer } from './variants/effectScorer.ts';
export type { ResidueClasses } from './tasks/residues/openResidueClassifier.ts';

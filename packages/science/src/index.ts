/** @file Public API of the science package. */

export {
  type BaselineExamples,
  type BaselinesRequest,
  type Comparison,
  frozenBaselines,
  type MethodResult,
} from './baselines/frozenBaselines.ts';
export type { Against } from './baselines/frozenBaselines.ts';
export { type Chemistry, openChemistry } from './chemistry/chemistry.ts';
export { withRandomSmiles } from './chemistry/withRandomSmiles.ts';
export { type A3mOptions, parseA3m } from './data/formats/a3m.ts';
export { type FastaOptions, type FastaRecord, parseFasta, readFasta } from './data/formats/fasta.ts';
export { parseFastq } from './data/formats/fastq.ts';
export { parseStockholm, type StockholmRecord } from './data/formats/stockholm.ts';
export type { TextPieces } from './data/formats/textLines.ts';
export { mutated, mutationsBetween, nameOfMutations, parseMutations } from './data/mutations.ts';
export { readSequenceData } from './data/readSequenceData.ts';
export type { Alphabet, SequenceData, SequenceRecord, Substitution } from './data/sequenceRecord.ts';
export type {
  GivenSequenceRecord,
  SequenceColumns,
  SequenceDataOptions,
  SequenceNeed,
  SequenceSource,
  SequenceSplitBy,
} from './data/sequenceSource.ts';
export { sequenceEndings, type StreamedSequence, streamSequences } from './data/streamSequences.ts';
export { type EnsembleCalibration, ensembleCalibration, type UncertainAnswers } from './ensemble/calibration.ts';
export { type EnsembleOptions, evaluateEnsemble } from './ensemble/evaluateEnsemble.ts';
export type { EnsembleEvaluation } from './ensemble/measureEnsemble.ts';
export { bert } from './families/bert.ts';
export { esm } from './families/esm.ts';
export { scienceFamilies } from './families/index.ts';
export { roberta } from './families/roberta.ts';
export { t5 } from './families/t5.ts';
export { sciencePlugin } from './plugin.ts';
export { comparisonSection } from './report/frozenSections.ts';
export { curveSections, type ScoredClasses } from './report/curveSections.ts';
export type { BaselineOptions } from './report/frozenEmbeddings.ts';
export { logoColumn, type LogoRequest, logoSection } from './report/logoSection.ts';
export { type NumberPairs, paritySection, residualSection } from './report/numberSections.ts';
export { type ClusterOptions, clusterSequences } from './splits/likeness/clusterSequences.ts';
export { clusterMolecules } from './splits/moleculeClusters.ts';
export {
  type SimilarityOptions,
  type SimilarRecords,
  similarAcrossSplits,
  similarRecords,
} from './splits/similarAcrossSplits.ts';
export { type SequenceSplit, type SequenceSplitOptions, splitSequences } from './splits/splitSequences.ts';
export { type AttentionOptions, attentionOver, type LetterAttention } from './tasks/attention/attentionOver.ts';
export { openSequenceClassifier, openSequenceLabeller } from './tasks/classification/openSequenceClassifier.ts';
export type { SequencePredictorOptions } from './tasks/records/headPredictor.ts';
export { openSequenceTask } from './tasks/openSequenceTask.ts';
export { openSequenceRegressor } from './tasks/regression/sequenceRegressionFactory.ts';
export {
  sequenceClassification,
  type SequenceClassificationOptions,
  type SequenceClassScores,
} from './tasks/classification/sequenceClassification.ts';
export {
  SequenceClassificationFactory,
  SequenceLabellingFactory,
} from './tasks/classification/sequenceClassificationFactory.ts';
export { sequenceLabelling, type SequenceLabellingOptions } from './tasks/classification/sequenceLabelling.ts';
export { sequenceRegression, type SequenceRegressionOptions } from './tasks/regression/sequenceRegression.ts';
export { SequenceRegressionFactory } from './tasks/regression/sequenceRegressionFactory.ts';
export {
  maskedLanguageModelling,
  type MaskedLanguageModellingOptions,
} from './tasks/masked/maskedLanguageModelling.ts';
export { MaskedLanguageModellingFactory } from './tasks/masked/maskedLanguageModellingFactory.ts';
export type { MaskingOptions } from './tasks/masked/masking.ts';
export { openPerplexity, type PerplexityOptions } from './tasks/masked/openPerplexity.ts';
export { residueClassification, type ResidueClassificationOptions } from './tasks/residues/residueClassification.ts';
export type { ResidueClassScores } from './tasks/residues/classCells.ts';
export { openResidueClassifier, openResidueRegressor } from './tasks/residues/openResidueClassifier.ts';
export { ResidueClassificationFactory, ResidueRegressionFactory } from './tasks/residues/residueFactories.ts';
export { residueRegression, type ResidueRegressionOptions } from './tasks/residues/residueRegression.ts';
export type { ResidueExample } from './tasks/residues/residueTargets.ts';
export type { SequenceHeadOptions } from './tasks/sequenceHead.ts';
export type {
  LengthOptions,
  SequenceDataset,
  SequenceExample,
  SequencePorts,
  SequenceTask,
  SequenceTaskOptions,
  TokenRow,
} from './tasks/sequenceTask.ts';
export {
  openSequenceEmbedder,
  type SequenceEmbedder,
  type SequenceEmbedderOptions,
} from './tasks/embedding/sequenceEmbedder.ts';
export { SequenceEmbeddingFactory, SequenceRetrievalFactory } from './tasks/embedding/sequenceEmbeddingFactory.ts';
export type { FeatureOptions, SequencePooling } from './tasks/embedding/tokenStates.ts';
export {
  type SequenceGroup,
  sequenceRetrieval,
  type SequenceRetrievalOptions,
} from './tasks/embedding/sequenceRetrieval.ts';
export { EsmTokenizer, type EsmTokenizerOptions } from './tokenizers/esmTokenizer.ts';
export { openTokenizer } from './tokenizers/openTokenizer.ts';
export type { FramedTokens, SequenceTokenizer, SequenceTokens } from './tokenizers/sequenceTokenizer.ts';
export { MutationScanFactory } from './tasks/variants/mutationScanFactory.ts';
export { type MeasuredVariant, variantEffect, type VariantEffectOptions } from './tasks/variants/variantEffect.ts';
export { VariantEffectFactory } from './tasks/variants/variantEffectFactory.ts';
export {
  type MutationScan,
  mutationScan,
  type MutationScannerOptions,
  type ScanOptions,
} from './variants/mutationScan.ts';
export type { PredictedScorerOptions } from './variants/predictedScorer.ts';
export { scoreVariants } from './variants/scoreVariants.ts';
export type { TokenScoresOptions } from './variants/tokenScores.ts';
export type { Variant } from './variants/variant.ts';
export type { EffectScorer, ScoreOptions, VariantScorer } from './variants/effectScorer.ts';
export {
  openVariantScorer,
  type VariantMethod,
  variantMethods,
  type VariantScorerOptions,
} from './variants/variantScorer.ts';

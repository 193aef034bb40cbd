/** @file Losses as graph fragments, from operators that every execution provider has. */

export { binaryCrossEntropy, type BinaryCrossEntropyOptions } from './binaryCrossEntropy.ts';
export { contrastive, infoNce, type InfoNceOptions, sigmoidContrastive } from './embeddings/contrastive.ts';
export {
  cosineDistance,
  cosineEmbedding,
  type CosineEmbeddingOptions,
  tripletMargin,
  type TripletMarginOptions,
} from './embeddings/cosine.ts';
export {
  crossEntropy,
  type CrossEntropyOptions,
  negativeLogLikelihood,
  type NegativeLogLikelihoodOptions,
} from './crossEntropy.ts';
export { ctc, type CtcOptions } from './ctc.ts';
export { dice, type DiceOptions } from './dice.ts';
export { huber, type HuberOptions, l1, meanSquaredError, smoothL1, type SmoothL1Options } from './difference.ts';
export {
  distillation,
  type DistillationOptions,
  kullbackLeibler,
  type KullbackLeiblerOptions,
} from './distillation.ts';
export { sigmoidFocal, type SigmoidFocalOptions, softmaxFocal, type SoftmaxFocalOptions } from './focal.ts';
export {
  batchHardTriplet,
  type BatchHardTripletOptions,
  supervisedContrastive,
  type SupervisedContrastiveOptions,
} from './embeddings/metricLearning.ts';
export { type ElementOptions, type Reduction, weightedSum } from './reduction.ts';
export { sequenceLogProbability, type SequenceLogProbabilityOptions } from './sequenceLogProbability.ts';

/** @file `@onnx-lora/sdk/data`: reading examples from tables and folders, splits, and worker threads. */

export { OnnxLoraError } from './errors.ts';
export { type Tensor, tensor } from './runtime/tensor.ts';
export { readModelConfig } from './model/opening/readModelConfig.ts';
export { readSafetensors, type Safetensors, writeSafetensors } from './adapter/formats/safetensors.ts';
export { inThreads, type ThreadedDataset } from './data/inThreads.ts';
export { type ThreadOptions, ThreadPool } from './data/threadPool.ts';
export { fileIdentity } from './files/fileIdentity.ts';
export { cacheFolder } from './files/cacheFolder.ts';
export { AtomicWriter, flushFolder, makeFolder, writeFileAtomic } from './files/atomicWriter.ts';
export { contentKey, ExampleSet } from './data/exampleSet.ts';
export * from './data/recordFiles.ts';
export * from './data/augmentation.ts';
export * from './data/tables/cells.ts';
export { type WithoutUndefined, withoutUndefined } from './plugin/withoutUndefined.ts';
export * from './data/tables/columns.ts';
export { drawSeed, Random, type RandomState } from './runtime/random.ts';
export { BoundedCache } from './data/boundedCache.ts';
export * from './data/layouts.ts';
export * from './data/readData.ts';
export {
  type Line,
  linesOf,
  locatedLines,
  readText,
  textLines,
  textOf,
  type TextPieces,
} from './data/tables/textLines.ts';
export type { TaskSuggestion } from './plugin/preparedTask.ts';
export { decodeText, isUtf16, decodePreview } from './files/decodeText.ts';
export { fairHoldOut, type RecordSplit, type SplitFacts, splitRecords } from './data/splits/splitRecords.ts';
export { isObject, type JsonObject, readJsonObject, ConfigFields } from './data/modelFiles/configFields.ts';
export * from './data/modelFiles/sentenceModules.ts';
export * from './data/modelFiles/tokenizerFiles.ts';
export * from './data/splits/sharedBetweenSplits.ts';
export * from './data/splits/splits.ts';
export { type Peeked, peeked, openTable, type TableFormat, type TableStream } from './data/tables/tableStream.ts';
export { readTable, type Table, tableEndings, tableOf, wholeTable } from './data/tables/table.ts';

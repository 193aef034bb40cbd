/**
 * @file `@onnx-lora/sdk/data`: reading examples from tables and folders, splitting them, and preparing them in threads.
 */

export { readModelConfig } from './model/opening/readModelConfig.ts';
export { readSafetensors, type Safetensors, writeSafetensors } from './adapter/formats/safetensors.ts';
export { inThreads, type ThreadedDataset, type ThreadOptions, ThreadPool } from './data/inThreads.ts';
export { fileIdentity } from './files/fileIdentity.ts';
export { AtomicWriter, flushFolder, makeFolder, writeFileAtomic } from './files/atomicWriter.ts';
export { contentKey, ExampleSet } from './data/exampleSet.ts';
export {
  withSourceLocation,
  fileInside,
  type FilesOfRecords,
  nameOfRecord,
  type PlacedRecord,
  withoutMissing,
} from './data/recordFiles.ts';
export {
  applyAugmentations,
  type Augment,
  type AugmentationData,
  type AugmentationOptions,
  augmentationPresets,
  type AugmentationPresets,
  badSetting,
  checkRange,
  checkShare,
  checkWhole,
  type Range,
} from './data/augmentation.ts';
export {
  cellLabels,
  cellList,
  cellNumber,
  cellNumbers,
  cellOneHot,
  cellRefused,
  type Cells,
  cellSplit,
  cellText,
  csvCell,
  type Row,
  type TableOptions,
  textOfCell,
} from './data/tables/cells.ts';
export { type Defined, defined } from './plugin/defined.ts';
export {
  ColumnFinder,
  type ColumnRole,
  type ColumnRoles,
  columnSettings,
  type MissingColumn,
  type NamedColumns,
} from './data/tables/columns.ts';
export { drawSeed, Random, type RandomState } from './runtime/random.ts';
export { BoundedCache } from './data/boundedCache.ts';
export {
  type ClassFolder,
  classFolders,
  type ExampleFiles,
  type FolderEntries,
  type FolderLayouts,
  isExample,
  manifestEndings,
  readFolder,
  readFolders,
  readSplits,
  splitInName,
  splitManifests,
  stemOf,
} from './data/layouts.ts';
export {
  type DataReader,
  type DivideOptions,
  givenRecords,
  type HeldOut,
  readData,
  type ReadData,
  requireRecords,
} from './data/readData.ts';
export {
  type Line,
  linesOf,
  placedLines,
  readText,
  textLines,
  textOf,
  type TextPieces,
} from './data/tables/textLines.ts';
export type { AlsoFits } from './plugin/preparedTask.ts';
export { tasksOfColumns, UnusedColumns } from './data/tables/unusedColumns.ts';
export { decodeText, isUtf16, textOfHead } from './files/decodeText.ts';
export { fairHoldOut, type RecordSplit, type SplitFacts, splitRecords } from './data/splits/splitRecords.ts';
export { isObject, type JsonObject, readJsonObject, ConfigFields } from './data/modelFiles/configFields.ts';
export {
  readSentenceLimits,
  readSentenceModules,
  readSentencePooling,
  type SentenceLimits,
  type SentenceModule,
  type SentencePooling,
} from './data/modelFiles/sentenceModules.ts';
export {
  byTokenizer,
  checkTokenIds,
  checkTokenizerSteps,
  parseMerges,
  addedTokens,
  byteLevelJson,
  type ByteLevelFiles,
  checkedTokenizer,
  readTokenizerFile,
  readTokenLines,
} from './data/modelFiles/tokenizerFiles.ts';
export {
  filesInTwoSplits,
  type Shared,
  sharedBetweenSplits,
  sharedWarning,
} from './data/splits/sharedBetweenSplits.ts';
export {
  checkFraction,
  type EvalSplit,
  evalSplitSetting,
  measuredOn,
  recordsBySplit,
  type Split,
  type SplitData,
  splitNames,
  telling,
  withTestForValidation,
} from './data/splits/splits.ts';
export { type Peeked, peeked, openTable, type TableFormat, type TableStream } from './data/tables/tableStream.ts';
export { readTable, type Table, tableEndings, tableOf, wholeTable } from './data/tables/table.ts';

/**
 * @file `@onnx-lora/sdk/data`: reading examples from tables and folders, splitting them, and preparing them in threads.
 */

export { readModelConfig } from './model/opening/readModelConfig.ts';
export { readSafetensors, type Safetensors, writeSafetensors } from './adapter/formats/safetensors.ts';
export { writeFileAtomic } from './files/wholeFile.ts';
export { GrowingFile } from './files/growingFile.ts';
export { contentKey, ExampleSet } from './plugin/data/exampleSet.ts';
export { withSourceLocation, nameOfRecord, type PlacedRecord } from './plugin/data/sourceLocation.ts';
export { badSetting, checkRange, checkShare, checkWhole, type Range } from './plugin/data/augmentationChecks.ts';
export {
  cellLabels,
  cellList,
  cellNumber,
  cellNumbers,
  cellOneHot,
  cellRefused,
  cellSplit,
  cellText,
} from './plugin/data/cells.ts';
export { ColumnFinder } from './plugin/data/columnFinder.ts';
export { drawSeed } from './plugin/data/drawSeed.ts';
export { fileInside } from './plugin/data/fileInside.ts';
export { FilledCache } from './plugin/data/filledCache.ts';
export { type FolderEntries, readFolder } from './plugin/data/folderEntries.ts';
export { fairHoldOut } from './plugin/data/holdOut.ts';
export { type FilesOfRecords, withoutMissing } from './plugin/data/missingFiles.ts';
export { isObject, type JsonObject, readJsonObject } from './plugin/data/readJsonObject.ts';
export { csvCell, textOfCell } from './plugin/data/csvCell.ts';
export { byTokenizer, checkTokenIds, checkTokenizerSteps, parseMerges } from './plugin/data/tokenizerFiles.ts';
export {
  filesInTwoSplits,
  type Shared,
  sharedBetweenSplits,
  sharedWarning,
} from './plugin/data/sharedBetweenSplits.ts';
export {
  checkFraction,
  type EvalSplit,
  evalSplitSetting,
  measuredOn,
  recordsBySplit,
  type SplitData,
  telling,
  withTestForValidation,
} from './plugin/data/splitData.ts';
export { type Peeked, peeked, openTable, type TableFormat, type TableStream } from './plugin/data/tableStream.ts';
export { type RecordSplit, type SplitFacts, splitRecords } from './plugin/data/splitRecords.ts';
export { type Split, splitNames } from './plugin/data/splits.ts';
export { readTable, type Table, tableEndings, tableOf, wholeTable } from './plugin/data/table.ts';
export type { Cells, Row, TableOptions } from './plugin/data/tableRow.ts';
export { inThreads, type ThreadedDataset, type ThreadOptions, ThreadPool } from './plugin/inThreads.ts';

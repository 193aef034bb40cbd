/** @file `@onnx-lora/sdk/page`: files of a page, which has no file system that programs share. */

export { keepFolder, type KeptFolder } from './platform/browser/keptFolder.ts';
export {
  downloadFiles,
  fileBytes,
  fileNames,
  type PickedFile,
  type PickedFolder,
  putFile,
  putFolder,
  putZip,
  removeFiles,
  zipFolder,
} from './platform/pageFiles.ts';

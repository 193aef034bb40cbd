/** @file `@onnx-lora/sdk/page`: files of a page, which has no file system that programs share. */

export { keepFolder, type KeptFolder } from './platform/browser/keptFolder.ts';
export { downloadFiles, fileBytes, fileNames, putFile, removeFiles } from './platform/pageFiles.ts';

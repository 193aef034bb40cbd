/** @file Which of a folder's files are COCO's, by their names. */

import { type FolderEntries, readFolder, type Split } from '@onnx-lora/sdk/data';
import { join } from 'node:path';

/** A file, and the split it is for, where there are several and their names say so. */
export interface CocoFileOfSplit {
  readonly file: string;
  readonly split?: Split;
}

/**
 * The COCO files of a folder: those that are named after COCO in the folder itself, or those of `annotations`. Where there are
 * `instances_…` and others, such as `captions_…`, only the instances.
 */
export async function cocoFilesIn(root: string, { files, folders }: FolderEntries): Promise<CocoFileOfSplit[]> {
  const own = files.filter((name) => /^(instances|captions|annotations)[^/]*\.json$|coco[^/]*\.json$/i.test(name));
  const folder = own.length === 0 && folders.includes('annotations') ? join(root, 'annotations') : root;
  const names = folder === root ? own : (await readFolder(folder)).files.filter((name) => /\.json$/i.test(name));
  const instances = names.filter((name) => /^instances/i.test(name));
  const captions = names.filter((name) => /^captions/i.test(name));
  const chosen = [instances, captions, names].find((each) => each.length > 0) ?? [];
  return chosen.map((name) => {
    const split = chosen.length > 1 ? splitIn(name) : undefined;
    return { file: join(folder, name), ...(split ? { split } : {}) };
  });
}

function splitIn(name: string): Split | undefined {
  if (/train/i.test(name)) return 'train';
  if (/val/i.test(name)) return 'validation';
  return /test/i.test(name) ? 'test' : undefined;
}

/** @file Temporary folders and parts that are released after use. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Runs with an empty folder that is removed afterwards. */
export async function inScratch<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-check-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs with a part that is released afterwards. */
export async function released<Part extends { release(): Promise<void> }, T>(
  part: Part,
  use: (part: Part) => Promise<T>,
): Promise<T> {
  try {
    return await use(part);
  } finally {
    await part.release();
  }
}

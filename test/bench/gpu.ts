/** @file Names and memory of the GPUs of this machine, by nvidia-smi. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Megabytes in use on all GPUs; undefined without nvidia-smi. */
export async function gpuMb(): Promise<number | undefined> {
  const used = (await asked('memory.used'))?.map(Number);
  return used?.every(Number.isFinite) ? used.reduce((sum, each) => sum + each, 0) : undefined;
}

/** Names of the GPUs and their driver; undefined without nvidia-smi. */
export async function gpuNames(): Promise<string | undefined> {
  return (await asked('name,driver_version'))?.join('; ');
}

async function asked(what: string): Promise<string[] | undefined> {
  try {
    const args = [`--query-gpu=${what}`, '--format=csv,noheader,nounits'];
    const { stdout } = await promisify(execFile)('nvidia-smi', args);
    return stdout.trim().split('\n');
  } catch {
    return undefined;
  }
}

/** @file `onnx-lora cache`: what is kept of prepared models, and how to remove it. */

import { PreparedCache } from '@onnx-lora/sdk/core';
import type { Command } from 'commander';
import type { Context } from '../../context.ts';
import { commandOf, type Flags } from '../../options.ts';
import { formatTable, inBytes } from '../../terminal/table.ts';

/** Makes the command. */
export function cacheCommand(context: Context): Command {
  return commandOf({
    name: 'cache',
    description:
      'Lists the quantised weights and measured precisions that are kept for the next start, least recently used first; --clear removes those that no running process uses. ONNX_LORA_CACHE_MB bounds them (20000; 0 keeps nothing), XDG_CACHE_HOME moves them.',
    flags: ['output'],
    examples: ['onnx-lora cache', 'onnx-lora cache --clear'],
  })
    .option('--clear', 'remove what no running process uses')
    .action((flags: Flags & { readonly clear?: boolean }) => {
      const cache = new PreparedCache();
      const removed = flags.clear ? cache.clear() : [];
      const entries = cache.entries();
      context.terminal.result(flags, { folder: cache.root, maxBytes: cache.maxBytes, entries, removed }, () => [
        ...(flags.clear ? [`Removed ${removed.length} (${inBytes(total(removed))}).`] : []),
        `${cache.root}: ${inBytes(total(entries))} of at most ${inBytes(cache.maxBytes)}`,
        ...formatTable(
          entries.map(({ what, bytes, used, inUse }) => [
            what,
            inBytes(bytes),
            `${new Date(used).toISOString().slice(0, 16).replace('T', ' ')}${inUse ? ', in use' : ''}`,
          ]),
        ),
      ]);
    });
}

function total(entries: readonly { readonly bytes: number }[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}

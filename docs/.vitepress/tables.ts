/** @file Tables that scroll by themselves, with columns wide enough to read on a phone. */

import type { MarkdownOptions } from 'vitepress';

/** Puts each table in a box, whose style is in theme/style.css. */
export const boxTables: NonNullable<MarkdownOptions['config']> = (md) => {
  md.renderer.rules.table_open = () => '<div class="table" tabindex="0">\n<table>\n';
  md.renderer.rules.table_close = () => '</table>\n</div>\n';
};

"""A picture of what a .rec holds, for the README.

python bench/contact_sheet.py packed/train.rec packed/val.rec bench/results/contact_sheet.png
"""

from __future__ import annotations

import sys

import cv2
import numpy as np

from gpu_pack import RecordDataset

COLUMNS, CELL, GAP = 6, 112, 6


def main() -> None:
    *records, target = sys.argv[1:]
    crops = []
    for path in records:
        dataset = RecordDataset(path)
        for image, label in (dataset[number] for number in range(len(dataset))):
            crops.append((label, cv2.resize(image[:, :, ::-1], (CELL, CELL), interpolation=cv2.INTER_AREA)))
    crops.sort(key=lambda pair: pair[0])
    rows = -(-len(crops) // COLUMNS)
    sheet = np.full((rows * (CELL + GAP) + GAP, COLUMNS * (CELL + GAP) + GAP, 3), 255, np.uint8)
    for place, (_, crop) in enumerate(crops):
        y, x = (GAP + (CELL + GAP) * step for step in divmod(place, COLUMNS))
        sheet[y : y + CELL, x : x + CELL] = crop
    cv2.imwrite(target, sheet)


if __name__ == "__main__":
    main()

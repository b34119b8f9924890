"""Bring everything that is made from the notebooks in step with them: modules, clean notebooks, README.md, the tables of contents and the map of the chapters.

usage (anywhere): python tools/export.py
"""
import os
from pathlib import Path
import chapter_map, readme, sidebar

def main():
    root = Path(__file__).resolve().parent.parent
    os.chdir(root)
    from nbdev.clean import nbdev_clean
    from nbdev.doclinks import nbdev_export
    nbdev_export(); nbdev_clean()
    sidebar.write(root); chapter_map.write(root); readme.write(root)

if __name__ == '__main__': main()

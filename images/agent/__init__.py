"""The program of the discovery ramdisk: looks at the machine, asks for work, writes disks.

It runs as package `agent` there and as `images.agent` here, so it imports itself only relatively.
"""

"""What a study is and needs: its configuration, its cells and their costs, what its rules ask."""
